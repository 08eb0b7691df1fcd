/* Holds a record lock on the first byte of a file, as Vere from 3.1 on does, until its input ends.
   hold FILE r|w */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int fd = open(argv[1], O_RDWR | O_CREAT, 0666);
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = argv[2][0] == 'w' ? F_WRLCK : F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0;
    lock.l_len = 1;
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0) return 1;
    puts("held");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
