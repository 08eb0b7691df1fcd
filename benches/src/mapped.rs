//! Walks by LMDB's own library, which maps the file: its bare loop, as a program in C has it, and through heed.
#![expect(unsafe_code, reason = "the interface of a C library, and mapped files")]

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr;

use heed::types::Bytes;
use heed::{EnvFlags, EnvOpenOptions};
use lmdb_master_sys as lmdb;

use crate::Result;

/// Walks the table EVENTS of the environment in `dir`, and calls `seen` with each value.
pub(crate) fn walk(dir: &Path, mut seen: impl FnMut(&[u8])) -> Result<()> {
    let path = CString::new(dir.as_os_str().as_encoded_bytes())?;
    let mut env = ptr::null_mut();
    let (mut txn, mut table, mut cursor) = (ptr::null_mut(), 0, ptr::null_mut());
    // SAFETY: each call gets the handles that the calls before it made, in the order that LMDB's manual gives; the
    // file was written by this program and nobody changes it.
    unsafe {
        check(lmdb::mdb_env_create(&raw mut env))?;
        check(lmdb::mdb_env_set_maxdbs(env, 2))?;
        check(lmdb::mdb_env_open(env, path.as_ptr(), lmdb::MDB_RDONLY | lmdb::MDB_NOLOCK, 0o664))?;
        check(lmdb::mdb_txn_begin(env, ptr::null_mut(), lmdb::MDB_RDONLY, &raw mut txn))?;
        check(lmdb::mdb_dbi_open(txn, c"EVENTS".as_ptr(), 0, &raw mut table))?;
        check(lmdb::mdb_cursor_open(txn, table, &raw mut cursor))?;
    }
    let empty = || lmdb::MDB_val { mv_size: 0, mv_data: ptr::null_mut() };
    let (mut key, mut value) = (empty(), empty());
    loop {
        // SAFETY: the cursor is open, and both places are ours.
        let code = unsafe { lmdb::mdb_cursor_get(cursor, &raw mut key, &raw mut value, lmdb::MDB_NEXT) };
        if code == lmdb::MDB_NOTFOUND {
            break;
        }
        check(code)?;
        // SAFETY: LMDB points at that many bytes of its mapping, which stays until the environment is closed.
        seen(unsafe { std::slice::from_raw_parts(value.mv_data.cast(), value.mv_size) });
    }
    // SAFETY: all three are open, and not used again.
    unsafe {
        lmdb::mdb_cursor_close(cursor);
        lmdb::mdb_txn_abort(txn);
        lmdb::mdb_env_close(env);
    }
    Ok(())
}

/// The same through heed's iterator.
pub(crate) fn walk_by_heed(dir: &Path, mut seen: impl FnMut(&[u8])) -> Result<()> {
    let mut options = EnvOpenOptions::new();
    options.max_dbs(2).map_size(1 << 32);
    // SAFETY: the file was written by this program and nobody changes it.
    let env = unsafe { options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK).open(dir)? };
    let txn = env.read_txn()?;
    let table: heed::Database<Bytes, Bytes> =
        env.open_database(&txn, Some("EVENTS"))?.ok_or("there is no table of events")?;
    for pair in table.iter(&txn)? {
        seen(pair?.1);
    }
    Ok(())
}

fn check(code: i32) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the text is static.
    let text = unsafe { CStr::from_ptr(lmdb::mdb_strerror(code)) };
    Err(text.to_string_lossy().into())
}
