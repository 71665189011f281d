"""YAML as data: no tags that make objects, no aliases that grow, one line of error."""

from __future__ import annotations

from typing import Any


def parse_yaml(content: bytes) -> Any:
    """Reads YAML, JSON included.

    Args:
        content: UTF-8.

    Returns:
        Mappings, lists and scalars.

    Raises:
        ValueError: If it is no YAML, has a tag that is not data, or an alias: a few lines of them may stand for
            gigabytes.
    """
    import yaml  # most processes never read any

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("aliases (*name) are not taken")
            node: yaml.Node | None = super().compose_node(parent, index)
            return node

    try:
        return yaml.load(content.decode("utf-8-sig"), Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
