"""The types of the flows' parameters: the Prefect UI makes its form of them, and refuses what does not fit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Place = Annotated[str, Field(min_length=1)]  # a path, or an address of storage
PoolName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
TomlFile = Annotated[str, Field(pattern=r"\.toml$")]
DaskAddress = Annotated[str, Field(pattern=r"^(tcp|tls)://.+:\d+$")]
Workers = Annotated[int, Field(ge=1)]
Labels = Annotated[int, Field(ge=0)]
Arms = Literal["ours", "article", "random"]
Name = Annotated[str, Field(min_length=1)]
Cosine = Annotated[float, Field(gt=0, le=1)]
Neighbors = Annotated[int, Field(ge=1, le=1000)]
Days = Annotated[int, Field(ge=1)]
