package emulator

import "syscall"

// ownGroup starts a process in a group of its own, which the kernel kills when the emulator is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
