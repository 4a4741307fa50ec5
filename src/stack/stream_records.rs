//! What the engine of the embedded DynamoDB lacks for streams. It looks through all records of a stream at each write, and
//! keeps them for ever. An index and a trigger in its database change that.

use anyhow::{Context, Result};
use rusqlite::Connection;

/// The engine finds the last record and those after a position with `CAST(sequence_number AS INTEGER)`. The trigger removes
/// records that are older than the 24 hours of DynamoDB, at most two for each new one, so that no write waits for it.
const SCHEMA: &str = "
    CREATE INDEX IF NOT EXISTS clientele_stream_positions
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE TRIGGER IF NOT EXISTS clientele_stream_retention AFTER INSERT ON _stream_records BEGIN
        DELETE FROM _stream_records
            WHERE id IN (SELECT id FROM _stream_records ORDER BY id LIMIT 2) AND created_at < NEW.created_at - 86400;
    END;";

/// Adds both to the database of the engine, which must have opened it already.
pub(super) fn prepare(database: &str) -> Result<()> {
    let prepared = Connection::open(database).and_then(|connection| connection.execute_batch(SCHEMA));
    prepared.context("the database of the embedded DynamoDB cannot be prepared for streams")
}

#[cfg(test)]
mod tests {
    use dynoxide::Database;

    use super::*;

    /// The engine's own statements use the index, and old records disappear.
    #[test]
    fn records_are_found_by_an_index_and_removed_after_a_day() {
        let database = "file:stream-records-test?mode=memory&cache=shared";
        let _engine = Database::new(database).unwrap();
        prepare(database).unwrap();
        prepare(database).unwrap();
        let connection = Connection::open(database).unwrap();
        let insert = |number: i64, created_at: i64| {
            let values = format!("'customers', 'INSERT', '{{}}', '{number}', 'shard', {created_at}");
            let columns = "table_name, event_name, keys_json, sequence_number, shard_id, created_at";
            connection.execute(&format!("INSERT INTO _stream_records ({columns}) VALUES ({values})"), []).unwrap();
        };
        for number in 1..=5 {
            insert(number, number);
        }
        let numbers = || {
            let mut statement = connection.prepare("SELECT sequence_number FROM _stream_records ORDER BY id").unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap()
        };
        insert(6, 86_403);
        assert_eq!(numbers(), ["3", "4", "5", "6"], "two at a time");
        insert(7, 86_404);
        assert_eq!(numbers(), ["4", "5", "6", "7"], "a record of exactly 24 hours stays");
        for query in [
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 'c'",
            "SELECT new_image FROM _stream_records WHERE table_name = 'c' AND shard_id = 's' AND \
             CAST(sequence_number AS INTEGER) > 1 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 100",
        ] {
            let plan = connection
                .query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get::<_, String>(3))
                .unwrap();
            assert!(plan.contains("INDEX clientele_stream_positions (table_name=?"), "{plan}");
        }
    }
}
