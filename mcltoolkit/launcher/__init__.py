"""Several processes on one or more nodes: starting them, and telling why they ended.

It imports neither mmengine nor the rest of the toolkit, so that starting costs little.
"""
