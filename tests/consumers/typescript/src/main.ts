// An example of a system that uses the customers of Clientele.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";

import { type Envelope, handleChange } from "./changes.js";
import { type CleanupMessage, handleCleanup } from "./cleanup.js";
import { emailKey, find, type Table } from "./customers.js";
import type { Receipts } from "./receipts.js";
import { FileStore } from "./store.js";

const USAGE = `node dist/main.js email ADDRESS | external-id ID    prints the customers
node dist/main.js changes | cleanup [--until-idle]  consumes a queue
node dist/main.js copy ADDRESS                      adds an address to the copies without a pk
node dist/main.js show                              prints what this system knows`;

/** Handles the messages of a queue. A message is deleted only after it has been handled. */
async function consume<Message>(queueUrl: string, handle: (message: Message) => Promise<void>, untilIdle: boolean) {
  const sqs = new SQSClient();
  for (;;) {
    const receive = { QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: untilIdle ? 1 : 20 };
    const { Messages: messages = [] } = await sqs.send(new ReceiveMessageCommand(receive));
    if (messages.length === 0 && untilIdle) return;
    const handled = [];
    for (const message of messages) {
      try {
        await handle(JSON.parse(message.Body ?? ""));
        handled.push({ Id: message.MessageId, ReceiptHandle: message.ReceiptHandle });
      } catch (error) {
        // It becomes visible again, and finally moves to the dead-letter queue. The text of an error may contain
        // personal data.
        console.error(`message ${message.MessageId} failed: ${error instanceof Error ? error.name : "unknown"}`);
      }
    }
    if (handled.length > 0) {
      const done = new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: handled });
      const { Failed: failed = [] } = await sqs.send(done);
      // These messages come again, which does no harm.
      for (const entry of failed) console.warn(`message ${entry.Id} was not deleted: ${entry.Code}`);
    }
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** `undefined` if the stack awaits no receipts. */
function receiptsOf(): Receipts | undefined {
  const queueUrl = process.env.RECEIPTS_QUEUE_URL;
  return queueUrl ? { sqs: new SQSClient(), queueUrl, system: variable("ERASURE_SYSTEM") } : undefined;
}

async function main([command, argument = ""]: string[]): Promise<void> {
  const client = DynamoDBDocumentClient.from(new DynamoDBClient());
  const table: Table = { client, name: variable("CUSTOMERS_TABLE") };
  const store = new FileStore(variable("STORE"));
  const untilIdle = argument === "--until-idle";
  const print = (value: unknown) => console.log(JSON.stringify(value));
  switch (command) {
    case "email":
      return print((await find(table, "email", emailKey(argument))).map((item) => item.pk));
    case "external-id":
      return print((await find(table, "external_id", argument)).map((item) => item.pk));
    case "changes":
      return consume(variable("CHANGES_QUEUE_URL"), (it: Envelope) => handleChange(table, store, it), untilIdle);
    case "cleanup": {
      const receipts = receiptsOf();
      const handle = (it: CleanupMessage) => handleCleanup(table, store, receipts, it);
      return consume(variable("CLEANUP_QUEUE_URL"), handle, untilIdle);
    }
    case "copy":
      return store.addCopy("email", emailKey(argument));
    case "show":
      return print(store.contents);
    default:
      console.error(USAGE);
      process.exitCode = 2;
  }
}

await main(process.argv.slice(2));
