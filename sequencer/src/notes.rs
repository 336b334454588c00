//! Where queued notes are: the path of a note up to a final root, for its holder. The siblings in it tell nothing: they
//! are on L1, or they are hiding hashes.

use std::sync::Arc;

use gridveil_api::public::NotePath;
use gridveil_protocol::{
    community::Community,
    field::Fr,
    params::CERTIFICATES_DEPTH,
    poseidon::hash4,
    tree::{Children, empty_ladder},
};

use crate::{
    problem::{self, Problem},
    service::Service,
    store::selected::NotePlace,
};

/// The opening of a note up to the root of the batch that appended it.
///
/// # Errors
/// [`Problem`].
pub async fn note_path(service: &Arc<Service>, note: Fr) -> Result<NotePath, Problem> {
    let reader = Arc::clone(&service.reader);
    let found = tokio::task::spawn_blocking(move || reader.note(note));
    let place = found.await.map_err(|_| Problem::internal("a note could not be read"))??;
    let place = place.ok_or_else(|| Problem::new(problem::NOTE_UNKNOWN, "no settlement here appended such a note"))?;
    let community = {
        let snapshot = service.writer.snapshot();
        if snapshot.log_state.batches.contains_key(&place.batch) {
            return Err(Problem::new(problem::NOTE_NOT_SETTLED, "the batch that appends the note is not final on L1"));
        }
        snapshot
            .communities
            .get(&place.community)
            .cloned()
            .ok_or_else(|| Problem::internal("a note of no community"))?
    };
    let opened = tokio::task::spawn_blocking(move || open(&community, &place));
    let path = opened.await.map_err(|_| Problem::internal("a note could not be opened"))?;
    if path.leads_from(note) { Ok(path) } else { Err(Problem::internal("a note does not lead to its root")) }
}

fn open(community: &Community, place: &NotePlace) -> NotePath {
    let count = place.appended_at;
    let mut path = place.queue_path.clone();
    let mut index = u64::from(place.position) + (1u64 << (2 * (path.len() - 1)));
    let mut shift = 2 * path.len();
    let node_of = |children: &Children| hash4(*children);
    let mut node = path.last().map_or(Fr::from(0u64), node_of);
    // As after this batch: the places of later appends are still empty.
    let ladder = empty_ladder(CERTIFICATES_DEPTH);
    let mut at = count;
    for (level, now) in community.certificates.path(count).into_iter().enumerate() {
        let own = (at % 4) as usize;
        let children: Children = std::array::from_fn(|child| match child.cmp(&own) {
            std::cmp::Ordering::Less => now.get(child).copied().unwrap_or(Fr::from(0u64)),
            std::cmp::Ordering::Equal => node,
            std::cmp::Ordering::Greater => ladder.get(level).copied().unwrap_or(Fr::from(0u64)),
        });
        node = node_of(&children);
        path.push(children);
        at /= 4;
    }
    index += count << shift;
    shift += 2 * CERTIFICATES_DEPTH;
    let children = [place.header_leaf, place.members_root, node, Fr::from(0u64)];
    node = node_of(&children);
    path.push(children);
    index += 2 << shift;
    shift += 2;
    let mut at = u64::from(place.community);
    for level in &place.state_path {
        let mut children = *level;
        if let Some(child) = children.get_mut((at % 4) as usize) {
            *child = node;
        }
        node = node_of(&children);
        path.push(children);
        at /= 4;
    }
    index += u64::from(place.community) << shift;
    NotePath {
        community: place.community,
        first_interval: place.first_interval,
        batch: place.batch,
        index,
        path,
        root: place.root,
    }
}
