// Erases what this system knows about deleted customers.

import { copyItem } from "./changes.js";
import { type Attribute, emailKey, find, type Table } from "./customers.js";
import { confirmErasure, type Receipts } from "./receipts.js";
import type { Store } from "./store.js";

export type CleanupMessage = {
  /** The customer's pk. */
  cleanup_id: string;
  external_id?: string | null;
  identifiers: { emails: string[] };
};

/** Handles a message of the cleanup queue. It may come more than once, and erasing twice does no harm. */
export async function handleCleanup(
  table: Table,
  store: Store,
  receipts: Receipts | undefined,
  message: CleanupMessage,
): Promise<void> {
  const pk = message.cleanup_id;
  if (typeof pk !== "string") throw new TypeError("not a cleanup message");
  await store.erase(pk);
  // A tombstone has a greater rank than all other changes, so none that is still on its way brings the data back.
  await copyItem(table, store, pk);
  for (const [attribute, value] of identifiers(message)) {
    // The same address may belong to a customer of another provider or account, who was not deleted.
    const customers = await find(table, attribute, value);
    if (customers.every((item) => item.pk === pk)) await store.eraseCopies(attribute, value);
  }
  if (receipts) await confirmErasure(receipts, pk);
}

function identifiers({ external_id, identifiers }: CleanupMessage): [Attribute, string][] {
  const emails = identifiers.emails.map((address): [Attribute, string] => ["email", emailKey(address)]);
  return external_id == null ? emails : [["external_id", external_id], ...emails];
}
