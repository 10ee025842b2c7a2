package localpg

import "syscall"

// freeBytes is the room that is left for us in the file system of dir, 0 where that is unknown.
func freeBytes(dir string) uint64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize)
}
