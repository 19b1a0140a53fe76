//! Frames grouped into transactions.
use std::ops::ControlFlow;

use walscope::number::{FrameNumber, PageNumber};
use walscope::wal::transactions::{Transaction, transactions, transactions_until};

use crate::common::synthetic::WalWriter;

fn grouped(wal: &WalWriter, pages_limit: usize) -> Vec<Transaction> {
    let mut all = Vec::new();
    transactions(&wal.bytes, pages_limit, &mut |transaction| all.push(transaction.clone())).unwrap();
    all
}

#[test]
fn each_commit_ends_a_transaction_and_the_uncommitted_tail_is_none() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(2, 0, 1).frame(1, 2, 1).frame(1, 2, 2).frame(3, 0, 3);
    let all = grouped(&wal, 100);
    let brief: Vec<_> = all.iter().map(|t| (t.number, t.database_pages, [t.first_frame, t.last_frame])).collect();
    assert_eq!(brief, [(1, 2, [1, 2].map(FrameNumber)), (2, 2, [3, 3].map(FrameNumber))]);
    assert_eq!(all[0].pages, [2, 1]);
}

#[test]
fn repeated_commit_frames_are_one_transaction() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(2, 0, 1).frame(1, 2, 5).frame(1, 2, 5).frame(1, 2, 5).frame(4, 4, 5);
    let all = grouped(&wal, 100);
    assert_eq!(all.len(), 2);
    assert_eq!([all[0].first_frame, all[0].commit_frame, all[0].last_frame], [1, 2, 4].map(FrameNumber));
    assert_eq!((all[0].commit_points(), all[0].pages.as_slice()), (3, [2, 1].map(PageNumber).as_slice()));
    assert_eq!((all[1].first_frame, all[1].number), (FrameNumber(5), 2));
}

#[test]
fn a_commit_that_differs_in_page_size_or_bytes_is_a_transaction_of_its_own() {
    for (page, commit, fill) in [(3, 2, 5), (1, 3, 5), (1, 2, 6)] {
        let mut wal = WalWriter::new(512, false, [1, 2]);
        wal.frame(1, 2, 5).frame(page, commit, fill);
        assert_eq!(grouped(&wal, 100).len(), 2);
        assert_eq!(grouped(&wal, 0).len(), 2, "the limit of pages changes nothing");
    }
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(1, 2, 5).frame(1, 0, 5).frame(1, 2, 5);
    assert_eq!(grouped(&wal, 100).len(), 2, "not adjacent");
}

#[test]
fn the_limit_bounds_the_pages_and_says_how_many_are_left_out() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    for page in 1..=9 {
        wal.frame(page, 0, 1);
    }
    wal.frame(10, 10, 1).frame(10, 10, 1);
    let all = grouped(&wal, 4);
    assert_eq!(all[0].pages, [1, 2, 3, 4]);
    assert_eq!(all[0].pages_left_out(), 6);
}

#[test]
fn who_has_seen_enough_transactions_is_handed_no_more() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    for number in 1..=5 {
        wal.frame(number, number, 7);
    }
    for last in 1..=5 {
        let mut seen = Vec::new();
        let ended = transactions_until(&wal.bytes, 0, &mut |transaction| {
            seen.push(transaction.number);
            if transaction.number == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(ended.unwrap().is_break() && seen == Vec::from_iter(1..=last), "{last}: {seen:?}");
    }
}
