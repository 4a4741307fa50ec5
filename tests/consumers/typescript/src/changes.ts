// Follows the change feed.

import { customerFrom, get, type Table } from "./customers.js";
import type { Store } from "./store.js";

/** An event of EventBridge. Its detail is a CloudEvent. */
export type Envelope = {
  detail: {
    type: string;
    /** The customer's pk. */
    subject: string;
    data: { rank: string; customer?: Record<string, unknown> };
  };
};

/** Handles a change. Changes may come in any order and more than once. */
export async function handleChange(table: Table, store: Store, envelope: Envelope): Promise<void> {
  const { type, subject: pk, data } = envelope.detail;
  if (typeof pk !== "string" || typeof data.rank !== "string") throw new TypeError("not a change");
  if (type === "customer.deleted") {
    await store.put(pk, data.rank, null);
  } else if (type === "customer.removed") {
    await store.forget(pk, data.rank);
    // The customer may have come back, and that event may have been handled first.
    await copyItem(table, store, pk);
  } else if (data.customer !== undefined) {
    await store.put(pk, data.rank, customerFrom(data.customer));
  } else {
    // The feed contains only keys, or the customer is too large for an event.
    await copyItem(table, store, pk);
  }
}

/** Stores the customer's item, which may be newer than the event. */
export async function copyItem(table: Table, store: Store, pk: string): Promise<void> {
  const item = await get(table, pk);
  if (item !== undefined) {
    await store.put(pk, item.rank, item.status === "deleted" ? null : customerFrom(item));
  }
}
