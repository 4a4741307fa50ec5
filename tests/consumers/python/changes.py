"""Follows the change feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customers import Customer, get
from store import Store

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


def handle_change(table: Table, store: Store, envelope: dict[str, Any]) -> None:
    """Handles an event of EventBridge. Its detail is a CloudEvent. Events may come in any order and more than once."""
    event = envelope["detail"]
    pk, data = event["subject"], event["data"]
    match event["type"]:
        case "customer.deleted":
            store.put(pk, data["rank"], None)
        case "customer.removed":
            store.forget(pk, data["rank"])
            # The customer may have come back, and that event may have been handled first.
            copy_item(table, store, pk)
        case _ if "customer" in data:
            store.put(pk, data["rank"], Customer.from_item(data["customer"]))
        case _:
            # The feed contains only keys, or the customer is too large for an event.
            copy_item(table, store, pk)


def copy_item(table: Table, store: Store, pk: str) -> None:
    """Stores the customer's item, which may be newer than the event."""
    item = get(table, pk)
    if item is not None:
        store.put(pk, item["rank"], None if item["status"] == "deleted" else Customer.from_item(item))
