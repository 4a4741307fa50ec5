// Confirms that this system has erased a customer.

import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";

export type Receipts = {
  sqs: SQSClient;
  queueUrl: string;
  /** The name of this system in the parameter `ErasureSystems`. */
  system: string;
};

/** Call this only after everything is erased. The first receipt of a system counts, so another one does no harm. */
export async function confirmErasure({ sqs, queueUrl, system }: Receipts, cleanupId: string): Promise<void> {
  const receipt = { schema: 1, cleanup_id: cleanupId, system, erased_at: new Date().toISOString() };
  await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(receipt) }));
}
