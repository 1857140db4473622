"""A study: its folder, its study.toml, and what was decided beforehand."""
