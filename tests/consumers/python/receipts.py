"""Confirms that this system has erased a customer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Receipts:
    sqs: SQSClient
    queue_url: str
    # The name of this system in the parameter `ErasureSystems`.
    system: str

    def confirm(self, cleanup_id: str) -> None:
        """Call this only after everything is erased. The first receipt of a system counts; another one does no harm."""
        erased_at = datetime.now(timezone.utc).isoformat()
        receipt = {"schema": 1, "cleanup_id": cleanup_id, "system": self.system, "erased_at": erased_at}
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(receipt))
