package e2e_test

import "syscall"

// endWithUs lets a process end with the tests, however those end.
func endWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
