"""Erases what this system knows about deleted customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

from changes import copy_item
from customers import Attribute, email_key, find
from receipts import Receipts
from store import Store

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


def handle_cleanup(table: Table, store: Store, receipts: Receipts | None, message: dict[str, Any]) -> None:
    """Handles a message of the cleanup queue. It may come more than once, and erasing twice does no harm."""
    pk = message["cleanup_id"]
    store.erase(pk)
    # A tombstone has a greater rank than all other changes, so none that is still on its way brings the data back.
    copy_item(table, store, pk)
    for attribute, value in identifiers(message):
        # The same address may belong to a customer of another provider or account, who was not deleted.
        if all(item["pk"] == pk for item in find(table, attribute, value)):
            store.erase_copies(attribute, value)
    if receipts is not None:
        receipts.confirm(pk)


def identifiers(message: dict[str, Any]) -> Iterator[tuple[Attribute, str]]:
    if message.get("external_id") is not None:
        yield "external_id", message["external_id"]
    for address in message["identifiers"]["emails"]:
        yield "email", email_key(address)
