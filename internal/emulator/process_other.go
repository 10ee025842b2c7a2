//go:build unix && !linux

package emulator

import "syscall"

// ownGroup starts a process in a group of its own. That it ends with the emulator is the keeper's work alone here.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
