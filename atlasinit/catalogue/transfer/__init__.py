"""Downloads, their verification, and the cache that keeps them."""
