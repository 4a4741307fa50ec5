// What this system knows about customers. The example keeps it in a file.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

import type { Attribute, Customer } from "./customers.js";

export interface Store {
  /** Stores this state if it is newer than the known one. To compare and to store must be one atomic step. */
  put(pk: string, rank: string, customer: Customer | null): Promise<boolean>;
  /** Forgets the customer and its rank, unless a newer state is known. */
  forget(pk: string, rank: string): Promise<void>;
  /** Erases the customer's data. The rank stays, so that no older change brings them back. */
  erase(pk: string): Promise<void>;
  /** Erases data that were copied without the pk, such as the addresses in a mailing tool. */
  eraseCopies(attribute: Attribute, value: string): Promise<void>;
}

/** Compares two ranks by their bytes. JavaScript's `<` compares UTF-16 units, which is another order. */
export function compareRanks(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A deleted customer has a rank and no data. */
type KnownCustomer = { rank: string; customer: Customer | null };
type Contents = { customers: Record<string, KnownCustomer>; copies: [Attribute, string][] };

/** For one process at a time. Each method runs without an `await`, so it is atomic. */
export class FileStore implements Store {
  readonly contents: Contents = { customers: {}, copies: [] };

  constructor(private readonly path: string) {
    if (existsSync(path)) this.contents = JSON.parse(readFileSync(path, "utf8"));
  }

  async put(pk: string, rank: string, customer: Customer | null): Promise<boolean> {
    const known = this.contents.customers[pk];
    if (known !== undefined && compareRanks(rank, known.rank) <= 0) return false;
    this.contents.customers[pk] = { rank, customer };
    this.save();
    return true;
  }

  async forget(pk: string, rank: string): Promise<void> {
    const known = this.contents.customers[pk];
    if (known !== undefined && compareRanks(rank, known.rank) >= 0) delete this.contents.customers[pk];
    this.save();
  }

  async erase(pk: string): Promise<void> {
    const known = this.contents.customers[pk];
    if (known !== undefined) known.customer = null;
    this.save();
  }

  async addCopy(attribute: Attribute, value: string): Promise<void> {
    this.contents.copies.push([attribute, value]);
    this.save();
  }

  async eraseCopies(attribute: Attribute, value: string): Promise<void> {
    this.contents.copies = this.contents.copies.filter((copy) => copy[0] !== attribute || copy[1] !== value);
    this.save();
  }

  private save(): void {
    writeFileSync(`${this.path}.new`, JSON.stringify(this.contents));
    renameSync(`${this.path}.new`, this.path);
  }
}
