//! What this system knows about customers. The example keeps it in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::customers::{Attribute, Customer};

pub trait Store {
    /// Stores this state if it is newer than the known one. To compare and to store must be one atomic step.
    fn put(&self, pk: &str, rank: &str, customer: Option<Customer>) -> impl Future<Output = Result<bool>>;
    /// Forgets the customer and its rank, unless a newer state is known.
    fn forget(&self, pk: &str, rank: &str) -> impl Future<Output = Result<()>>;
    /// Erases the customer's data. The rank stays, so that no older change brings them back.
    fn erase(&self, pk: &str) -> impl Future<Output = Result<()>>;
    /// Erases data that were copied without the pk, such as the addresses in a mailing tool.
    fn erase_copies(&self, attribute: Attribute, value: &str) -> impl Future<Output = Result<()>>;
}

/// A customer of which data are known, or a deleted one with a rank and no data.
#[derive(Serialize, Deserialize)]
pub struct KnownCustomer {
    pub rank: String,
    pub customer: Option<Customer>,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Contents {
    pub customers: BTreeMap<String, KnownCustomer>,
    pub copies: Vec<(Attribute, String)>,
}

/// For one process at a time. The lock makes each method atomic.
pub struct FileStore {
    path: PathBuf,
    contents: Mutex<Contents>,
}

impl FileStore {
    pub fn open(path: PathBuf) -> Result<Self> {
        let contents =
            if path.exists() { serde_json::from_slice(&std::fs::read(&path)?)? } else { Contents::default() };
        Ok(Self { path, contents: Mutex::new(contents) })
    }

    pub async fn add_copy(&self, attribute: Attribute, value: &str) -> Result<()> {
        let mut contents = self.contents.lock().await;
        contents.copies.push((attribute, value.to_owned()));
        self.save(&contents)
    }

    pub async fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(&*self.contents.lock().await)?)
    }

    fn save(&self, contents: &Contents) -> Result<()> {
        let new = self.path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(contents)?)?;
        Ok(std::fs::rename(new, &self.path)?)
    }
}

impl Store for FileStore {
    async fn put(&self, pk: &str, rank: &str, customer: Option<Customer>) -> Result<bool> {
        let mut contents = self.contents.lock().await;
        // Rust compares strings by their bytes, as ranks must be compared.
        if contents.customers.get(pk).is_some_and(|known| rank <= known.rank.as_str()) {
            return Ok(false);
        }
        contents.customers.insert(pk.to_owned(), KnownCustomer { rank: rank.to_owned(), customer });
        self.save(&contents)?;
        Ok(true)
    }

    async fn forget(&self, pk: &str, rank: &str) -> Result<()> {
        let mut contents = self.contents.lock().await;
        if contents.customers.get(pk).is_some_and(|known| rank >= known.rank.as_str()) {
            contents.customers.remove(pk);
        }
        self.save(&contents)
    }

    async fn erase(&self, pk: &str) -> Result<()> {
        let mut contents = self.contents.lock().await;
        if let Some(known) = contents.customers.get_mut(pk) {
            known.customer = None;
        }
        self.save(&contents)
    }

    async fn erase_copies(&self, attribute: Attribute, value: &str) -> Result<()> {
        let mut contents = self.contents.lock().await;
        contents.copies.retain(|(of, copy)| *of != attribute || copy != value);
        self.save(&contents)
    }
}
