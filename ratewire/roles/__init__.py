"""The roles a process can have, each started alone or all together by `serve`."""
