// Reads customers from the table.

import { type DynamoDBDocumentClient, GetCommand, paginateQuery } from "@aws-sdk/lib-dynamodb";

export type Item = Record<string, unknown> & { pk: string; rank: string; status: string };
export type Attribute = "email" | "external_id";
export type Table = { client: DynamoDBDocumentClient; name: string };

const INDEXES = { email: "by-email", external_id: "by-external-id" } as const;

/** What this system needs to know about a customer. Copy no more than that. */
export type Customer = { name: string | null; email: string | null; external_id: string | null };

export function customerFrom(item: Record<string, unknown>): Customer {
  const text = (value: unknown) => (typeof value === "string" ? value : null);
  return { name: text(item.name), email: text(item.email), external_id: text(item.external_id) };
}

/** The form that e-mail addresses have in the index `by-email`. */
export function emailKey(address: string): string {
  return address.trim().toLowerCase().normalize("NFC");
}

/** The customer's item as it is now, which may be a tombstone. */
export async function get(table: Table, pk: string): Promise<Item | undefined> {
  const command = new GetCommand({ TableName: table.name, Key: { pk, sk: "customer" }, ConsistentRead: true });
  return (await table.client.send(command)).Item as Item | undefined;
}

/** The customers with that e-mail address, in the form of `emailKey`, or with that external id. */
export async function find(table: Table, attribute: Attribute, value: string): Promise<Item[]> {
  const pages = paginateQuery(table, {
    TableName: table.name,
    IndexName: INDEXES[attribute],
    KeyConditionExpression: `${attribute} = :value`,
    ExpressionAttributeValues: { ":value": value },
  });
  const items: Item[] = [];
  for await (const page of pages) {
    for (const key of page.Items ?? []) {
      const item = await get(table, key.pk);
      // The index follows the table with a delay. A customer who was deleted in the meantime is a tombstone, which has
      // neither attribute.
      if (item?.[attribute] === value) items.push(item);
    }
  }
  return items;
}
