"""The nouns: atlas, label table, maps, geometries, provenance; reads no file, draws nothing."""
