package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setsockopt sets an option of the SOL_XDP level.
func setsockopt(fd, option int, value unsafe.Pointer, size uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(value), size, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// getsockopt reads an option of the SOL_XDP level and returns how many bytes the kernel wrote.
func getsockopt(fd, option int, value unsafe.Pointer, size uintptr) (uintptr, error) {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(value),
		uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(length), nil
}

// zeroCopy reports whether the kernel bound the socket in zero-copy mode.
func zeroCopy(fd int) bool {
	var flags uint32 // struct xdp_options
	if _, err := getsockopt(fd, unix.XDP_OPTIONS, unsafe.Pointer(&flags), unsafe.Sizeof(flags)); err != nil {
		return false // before 5.3 there was no such option
	}
	return flags&unix.XDP_OPTIONS_ZEROCOPY != 0
}

// statistics reads the kernel's counters of a socket.
func statistics(fd int) (Statistics, error) {
	var s unix.XDPStatistics
	// Kernels before 5.9 write only the first three fields.
	if _, err := getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&s), unsafe.Sizeof(s)); err != nil {
		return Statistics{}, err
	}
	return Statistics{
		RxDropped:      s.Rx_dropped,
		RxInvalid:      s.Rx_invalid_descs,
		TxInvalid:      s.Tx_invalid_descs,
		RxRingFull:     s.Rx_ring_full,
		FillRingEmpty:  s.Rx_fill_ring_empty_descs,
		TxRingRanEmpty: s.Tx_ring_empty_descs,
	}, nil
}

// setSendBuffer sets the bound on bytes in sk_buffs of a copy-mode socket, past the system's bound where that is permitted.
func setSendBuffer(fd, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
	}
}

// setTxBudget sets how many frames one kick sends in copy mode and returns what holds. Kernels before 6.17 always take 32.
func setTxBudget(fd, budget int) int {
	if budget <= minTxBudget || unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, budget) != nil {
		return minTxBudget
	}
	return budget
}
