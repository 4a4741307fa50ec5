"""An example of a system that uses the customers of Clientele.

python main.py email ADDRESS | external-id ID    prints the customers
python main.py changes | cleanup [--until-idle]  consumes a queue
python main.py copy ADDRESS                      adds an address to the copies without a pk
python main.py show                              prints what this system knows
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Callable

import boto3

from changes import handle_change
from cleanup import handle_cleanup
from customers import email_key, find
from receipts import Receipts
from store import Store

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef

log = logging.getLogger("consumer")


def consume(sqs: SQSClient, queue_url: str, handle: Callable[[Any], None], until_idle: bool) -> None:
    """Handles the messages of a queue. A message is deleted only after it has been handled."""
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1 if until_idle else 20
        )
        messages = answer.get("Messages", [])
        if not messages and until_idle:
            return
        handled: list[DeleteMessageBatchRequestEntryTypeDef] = []
        for message in messages:
            try:
                handle(json.loads(message["Body"]))
                handled.append({"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]})
            except Exception as error:
                # It becomes visible again, and finally moves to the dead-letter queue. The text of an error may contain
                # personal data.
                log.error("message %s failed: %s", message["MessageId"], type(error).__name__)
        if handled:
            failed = sqs.delete_message_batch(QueueUrl=queue_url, Entries=handled).get("Failed", [])
            # These messages come again, which does no harm.
            for entry in failed:
                log.warning("message %s was not deleted: %s", entry["Id"], entry["Code"])


def receipts_of(sqs: SQSClient) -> Receipts | None:
    """`None` if the stack awaits no receipts."""
    queue_url = os.environ.get("RECEIPTS_QUEUE_URL")
    return None if queue_url is None else Receipts(sqs, queue_url, os.environ["ERASURE_SYSTEM"])


def main(arguments: list[str]) -> None:
    table = boto3.resource("dynamodb").Table(os.environ["CUSTOMERS_TABLE"])
    store = Store(os.environ["STORE"])
    sqs = boto3.client("sqs")
    until_idle = "--until-idle" in arguments
    match arguments:
        case ["email", address]:
            print(json.dumps([item["pk"] for item in find(table, "email", email_key(address))]))
        case ["external-id", external_id]:
            print(json.dumps([item["pk"] for item in find(table, "external_id", external_id)]))
        case ["changes", *_]:
            consume(sqs, os.environ["CHANGES_QUEUE_URL"], lambda it: handle_change(table, store, it), until_idle)
        case ["cleanup", *_]:
            receipts = receipts_of(sqs)
            queue_url = os.environ["CLEANUP_QUEUE_URL"]
            consume(sqs, queue_url, lambda it: handle_cleanup(table, store, receipts, it), until_idle)
        case ["copy", address]:
            store.add_copy("email", email_key(address))
        case ["show"]:
            print(json.dumps(store.all()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
