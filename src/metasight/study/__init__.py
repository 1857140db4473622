"""A study: its folder, its study.toml, and what was decided beforehand."""

from metasight.study.file import Study, read_study

__all__ = ["Study", "read_study"]
