"""What only people know about a dataset and a model, for the data card and the model card."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from halftone.config.base import ConfigSection


class CardSettings(ConfigSection):
    """Plain texts; a blank line begins a new paragraph."""

    licence: Optional[str] = Field(
        None,
        description="of the model and, without data_licence, of the images: an identifier such as "
        "cc-by-4.0, or a text",
    )
    data_licence: Optional[str] = Field(
        None, description="of the images; default: the same as licence"
    )
    intended_use: Optional[str] = Field(
        None, description="what the dataset and the model are for, and what they are not for"
    )
    limitations: Optional[str] = Field(
        None, description="known limits, besides those that the cards find in the numbers"
    )
    contact: Optional[str] = Field(None, description="who is responsible, and how to reach them")

    @property
    def licence_of_data(self) -> Optional[str]:
        return self.data_licence or self.licence

    def completed_by(self, others: CardSettings) -> CardSettings:
        """Return these texts, with those of `others` where there is none."""
        own = self.model_dump(exclude_none=True)
        return others.model_copy(update=own)
