"""systemd: the units, the door to the manager, installing and removing.

Nothing is imported here: the API takes `daemon` alone, at the cost of `daemon`.
"""
