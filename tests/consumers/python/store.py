"""What this system knows about customers, in SQLite."""

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from customers import Attribute, Customer

SCHEMA = """
    -- A deleted customer is a row with a rank and without data.
    CREATE TABLE IF NOT EXISTS customers (pk TEXT PRIMARY KEY, rank TEXT NOT NULL, customer TEXT);
    -- Data that were copied without the pk, such as the addresses in a mailing tool.
    CREATE TABLE IF NOT EXISTS copies (attribute TEXT, value TEXT, PRIMARY KEY (attribute, value));
"""


class Store:
    """Each method is one statement, so it is atomic even if several processes consume the queues."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(SCHEMA)

    def put(self, pk: str, rank: str, customer: Customer | None) -> bool:
        """Stores this state if it is newer than the known one. SQLite compares texts by their bytes."""
        data = None if customer is None else json.dumps(asdict(customer))
        cursor = self.database.execute(
            """INSERT INTO customers VALUES (?, ?, ?) ON CONFLICT (pk)
               DO UPDATE SET rank = excluded.rank, customer = excluded.customer WHERE rank < excluded.rank""",
            (pk, rank, data),
        )
        return cursor.rowcount == 1

    def forget(self, pk: str, rank: str) -> None:
        """Forgets the customer and its rank, unless a newer state is known."""
        self.database.execute("DELETE FROM customers WHERE pk = ? AND rank <= ?", (pk, rank))

    def erase(self, pk: str) -> None:
        """Erases the customer's data. The rank stays, so that no older change brings them back."""
        self.database.execute("UPDATE customers SET customer = NULL WHERE pk = ?", (pk,))

    def add_copy(self, attribute: Attribute, value: str) -> None:
        self.database.execute("INSERT OR IGNORE INTO copies VALUES (?, ?)", (attribute, value))

    def erase_copies(self, attribute: Attribute, value: str) -> None:
        self.database.execute("DELETE FROM copies WHERE attribute = ? AND value = ?", (attribute, value))

    def all(self) -> dict[str, Any]:
        rows = self.database.execute("SELECT pk, rank, customer FROM customers ORDER BY pk")
        customers = {pk: {"rank": rank, "customer": json.loads(data) if data else None} for pk, rank, data in rows}
        copies = self.database.execute("SELECT attribute, value FROM copies ORDER BY attribute, value").fetchall()
        return {"customers": customers, "copies": copies}
