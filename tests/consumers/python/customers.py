"""Reads customers from the table."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Mapping

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Item = Mapping[str, Any]
Attribute = Literal["email", "external_id"]
INDEXES: dict[Attribute, str] = {"email": "by-email", "external_id": "by-external-id"}


@dataclass(frozen=True)
class Customer:
    """What this system needs to know about a customer. Copy no more than that."""

    name: str | None
    email: str | None
    external_id: str | None

    @staticmethod
    def from_item(item: Item) -> Customer:
        return Customer(item.get("name"), item.get("email"), item.get("external_id"))


def email_key(address: str) -> str:
    """The form that e-mail addresses have in the index `by-email`."""
    return unicodedata.normalize("NFC", address.strip().lower())


def get(table: Table, pk: str) -> Item | None:
    """The customer's item as it is now, which may be a tombstone."""
    answer = table.get_item(Key={"pk": pk, "sk": "customer"}, ConsistentRead=True)
    return answer.get("Item")


def find(table: Table, attribute: Attribute, value: str) -> list[Item]:
    """The customers with that e-mail address, in the form of `email_key`, or with that external id."""
    query = table.meta.client.get_paginator("query").paginate(
        TableName=table.name,
        IndexName=INDEXES[attribute],
        KeyConditionExpression=f"{attribute} = :value",
        ExpressionAttributeValues={":value": value},
    )
    items = [get(table, str(key["pk"])) for page in query for key in page["Items"]]
    # The index follows the table with a delay. A customer who was deleted in the meantime is a tombstone, which has
    # neither attribute.
    return [item for item in items if item is not None and item.get(attribute) == value]
