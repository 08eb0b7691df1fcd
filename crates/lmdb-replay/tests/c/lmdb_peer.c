/* Another program with LMDB as it is installed, such as a ship with 0.9.29.
   lmdb_peer hold DIR      opens the environment as Vere does, prints "held", and waits until its input ends
   lmdb_peer read DIR      prints number, length and a sum of the bytes of each event
   lmdb_peer write DIR N   makes an environment with N events in EVENTS, and META
   lmdb_peer walk DIR      walks all events with a bare cursor and prints how many there are */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(call)                                                        \
    do {                                                                   \
        int rc = (call);                                                   \
        if (rc) {                                                          \
            fprintf(stderr, "%s: %s\n", #call, mdb_strerror(rc));          \
            return 1;                                                      \
        }                                                                  \
    } while (0)

static void fill(unsigned char *bytes, size_t len, uint64_t number) {
    for (size_t at = 0; at < len; at++) bytes[at] = (unsigned char)((number * 31 + at * 7) % 251);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi events;
    CHECK(mdb_env_create(&env));
    CHECK(mdb_env_set_maxdbs(env, 2));
    CHECK(mdb_env_set_mapsize(env, (size_t)1 << 30));
    CHECK(mdb_env_open(env, argv[2], 0, 0664));
    if (!strcmp(argv[1], "hold")) {
        puts("held");
        fflush(stdout);
        char byte;
        while (read(0, &byte, 1) > 0) {}
    } else if (!strcmp(argv[1], "write") && argc == 4) {
        static unsigned char bytes[9000];
        MDB_dbi meta;
        CHECK(mdb_txn_begin(env, NULL, 0, &txn));
        CHECK(mdb_dbi_open(txn, "META", MDB_CREATE, &meta));
        MDB_val name = {4, "life"}, life = {1, "\2"};
        CHECK(mdb_put(txn, meta, &name, &life, 0));
        CHECK(mdb_txn_commit(txn));
        uint64_t last = strtoull(argv[3], NULL, 10);
        for (uint64_t number = 1; number <= last; number++) {
            CHECK(mdb_txn_begin(env, NULL, 0, &txn));
            CHECK(mdb_dbi_open(txn, "EVENTS", MDB_CREATE | MDB_INTEGERKEY, &events));
            size_t len = number % 17 ? 20 + number % 50 : 3000 + 700 * (number % 5);
            fill(bytes, len, number);
            MDB_val key = {8, &number}, value = {len, bytes};
            CHECK(mdb_put(txn, events, &key, &value, MDB_NOOVERWRITE));
            CHECK(mdb_txn_commit(txn));
        }
    } else {
        int is_walk = !strcmp(argv[1], "walk");
        uint64_t count = 0;
        MDB_cursor *cursor;
        MDB_val key, value;
        CHECK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
        CHECK(mdb_dbi_open(txn, "EVENTS", MDB_INTEGERKEY, &events));
        CHECK(mdb_cursor_open(txn, events, &cursor));
        int rc;
        while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
            count++;
            if (is_walk) continue;
            uint64_t number, sum = 0;
            if (key.mv_size != 8) return 1;
            memcpy(&number, key.mv_data, 8);
            for (size_t at = 0; at < value.mv_size; at++) sum = sum * 31 + ((unsigned char *)value.mv_data)[at];
            printf("%llu %zu %llu\n", (unsigned long long)number, value.mv_size, (unsigned long long)sum);
        }
        if (rc != MDB_NOTFOUND) return 1;
        if (is_walk) printf("%llu\n", (unsigned long long)count);
        mdb_cursor_close(cursor);
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return 0;
}
