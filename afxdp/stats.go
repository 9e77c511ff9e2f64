package afxdp

// Stats counts what one queue did. The goroutine that uses the queue writes it.
type Stats struct {
	RxPackets    uint64 `help:"packets received"`
	RxFragments  uint64 `help:"frames of received packets beyond the first of each"`
	RxBytes      uint64 `help:"bytes of received packets"`
	RxInvalid    uint64 `help:"packets dropped: an RX descriptor named no frame of the fill ring, or they had too many"`
	RxNoFrame    uint64 `help:"times that packets had to wait in the RX ring because no frame was free"`
	TxPackets    uint64 `help:"packets given to the kernel"`
	TxFragments  uint64 `help:"frames of packets given to the kernel beyond the first of each"`
	TxBytes      uint64 `help:"bytes of packets given to the kernel"`
	TxMalformed  uint64 `help:"packets dropped: too short, of too many frames, not within them, or asking for what cannot be"`
	TxStampsLost uint64 `help:"times of sent packets that the driver did not tell, or that nobody had taken when there were too many"`
	Completions  uint64 `help:"frames that the kernel reported as sent"`
	CqInvalid    uint64 `help:"completions of frames that were not being sent, ignored"`
	Filled       uint64 `help:"frames given to the kernel to receive into"`
	Kicks        uint64 `help:"system calls that woke the kernel to transmit"`
	KickEagain   uint64 `help:"kicks that left frames in the TX ring: budget used, send buffer full, device busy"`
	KickEbusy    uint64 `help:"packets dropped by the device at a kick because it was full"`
	KickEnobufs  uint64 `help:"kicks for which the kernel had no memory"`
	KickStalls   uint64 `help:"flushes that left frames in the TX ring for later, those left out after the device was full among them"`
	KickDown     uint64 `help:"kicks while the link was down"`
	KickErrors   uint64 `help:"kicks that failed in another way"`
	FillKicks    uint64 `help:"system calls that woke the kernel to look at the fill ring"`
	BusyPolls    uint64 `help:"system calls in which the queue's goroutine ran the driver's receive work itself"`
	Sleeps       uint64 `help:"times that the queue's goroutine slept"`
	Wakes        uint64 `help:"times that it was woken by another goroutine"`
}

// Statistics are the kernel's own counters of a socket (XDP_STATISTICS).
type Statistics struct {
	RxDropped      uint64 `help:"packets dropped because they did not fit into a frame, or for another reason than those below"`
	RxInvalid      uint64 `help:"invalid descriptors in the fill ring"`
	TxInvalid      uint64 `help:"invalid descriptors in the TX ring"`
	RxRingFull     uint64 `help:"packets dropped because the RX ring was full"`
	FillRingEmpty  uint64 `help:"packets dropped because the fill ring was empty"`
	TxRingRanEmpty uint64 `help:"times that the kernel found the TX ring empty"`
}
