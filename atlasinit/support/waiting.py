"""A line in a terminal for work whose end nobody can tell."""

import contextlib
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def show_waiting(text: str) -> Iterator[None]:
    """Show what is done, and for how long, on standard error; nothing where nobody watches."""
    from tqdm import tqdm

    with tqdm(bar_format="{desc} ({elapsed})", desc=text, leave=False, disable=None) as bar:
        if bar.disable:
            yield
            return
        done = threading.Event()

        def count() -> None:
            while not done.wait(1):
                bar.refresh()

        counter = threading.Thread(target=count, daemon=True)
        counter.start()
        try:
            yield
        finally:
            done.set()
            counter.join()
