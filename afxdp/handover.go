package afxdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/fdpass"
)

// Handover is an open interface on its way to another process: a description, which is JSON, and files. The other process needs no
// privilege to Adopt it, from Linux 5.19 on. It must be in the same network namespace only to Follow the link.
type Handover struct {
	Format  int             `json:"format"`
	Info    wireInfo        `json:"info"`
	Options Options         `json:"options"`
	Mode    wireMode        `json:"mode"`
	Program *bpf.Exported   `json:"program"`
	Queues  []QueueHandover `json:"queues"`

	// Files are those of the program, then of each queue the socket and the memory. They are the Handover's own: see Close.
	Files []*os.File `json:"-"`
}

// QueueHandover is one queue.
type QueueHandover struct {
	Queue int         `json:"queue"`
	MTU   int         `json:"mtu"`
	Meta  uint32      `json:"meta"`
	Mode  wireMode    `json:"mode"`
	State *QueueState `json:"state,omitempty"` // nil: it is told later, see Transfer
}

// handoverFormat is the version of the description. Whatever changes the meaning of rings, frames or files gets another.
const handoverFormat = 1

// Bounds of a description that is received.
const (
	maxHandover = 64 << 20 // bytes: with states, two bits for each frame, in base64
	maxFiles    = 2048
)

// ErrHandover says that what was handed over cannot be used.
var ErrHandover = errors.New("not what this version hands over")

// Offer describes an interface that goes on to be used here, and opens its files once more. The states of the queues are told later, by
// Transfer.Suspend. It takes Options.Transferable.
func (i *Interface) Offer() (*Handover, error) {
	at := place{name: i.info.Name, index: i.info.Index, queue: -1}
	if !i.opt.Transferable || i.program == nil {
		return nil, at.fail("hand over", ErrOptions, nil, "open the interface with Options.Transferable, and with an XDP program")
	}
	h := &Handover{Format: handoverFormat, Info: newWireInfo(i.info), Options: i.opt, Mode: newWireMode(i.mode)}
	program, files, err := i.program.Export()
	h.Program, h.Files = &program, files
	for _, queue := range i.queues {
		q := queue.(*native)
		h.Queues = append(h.Queues, QueueHandover{Queue: q.Index(), MTU: q.mtu, Meta: q.meta, Mode: newWireMode(q.Mode())})
		fd := q.fd
		if q.parked {
			fd = q.socket
		}
		for _, n := range []int{fd, int(q.mem.file.Fd())} {
			dup, e := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
			if e != nil {
				err = errors.Join(err, at.errno("hand over", e))
				continue
			}
			h.Files = append(h.Files, os.NewFile(uintptr(dup), "queue"))
		}
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Export gives an interface away that no goroutine uses, with the states of its queues: whoever adopts it can begin at once. Here
// nothing can be done with it any more but to Close it, which takes nothing away from the other.
func (i *Interface) Export() (*Handover, error) {
	h, err := i.Offer()
	if err != nil {
		return nil, err
	}
	for n, q := range i.queues {
		s, err := q.(*native).Suspend()
		if err != nil {
			h.Close()
			return nil, err
		}
		h.Queues[n].State = &s
	}
	return h, nil
}

// Adopt makes an interface of what another process has handed over, and closes nothing of it. Queues whose states are not told do nothing
// until Transfer.TakeUp.
func Adopt(h *Handover) (*Interface, error) {
	i := &Interface{info: h.Info.info(), mode: h.Mode.mode(), opt: h.Options}
	at := place{name: i.info.Name, index: i.info.Index, queue: -1}
	if h.Format != handoverFormat {
		return nil, at.fail("adopt", ErrHandover, fmt.Errorf("format %d, and this is format %d", h.Format, handoverFormat), "")
	}
	if err := i.opt.check(); err != nil {
		return nil, at.fail("adopt", ErrHandover, err, "")
	}
	if h.Program == nil || len(h.Queues) == 0 || len(h.Files) != h.Program.Files()+2*len(h.Queues) {
		return nil, at.fail("adopt", ErrHandover, fmt.Errorf("%d files for %d queues", len(h.Files), len(h.Queues)), "")
	}
	if err := i.adopt(at, h); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func (i *Interface) adopt(at place, h *Handover) error {
	n := h.Program.Files()
	program, err := bpf.Adopt(*h.Program, h.Files[:n])
	if err != nil {
		return at.fail("adopt", ErrHandover, err, "")
	}
	i.program, i.mode.noNative = program, nil
	for k := range h.Queues {
		about := &h.Queues[k]
		at.queue = about.Queue
		q, err := adoptNative(at, &i.info, &i.opt, about, h.Files[n+2*k], h.Files[n+2*k+1])
		if err != nil {
			return err
		}
		q.cookie = program.HintsCookie()
		i.queues = append(i.queues, q)
		if about.State == nil {
			continue
		}
		if err := q.TakeUp(*about.State); err != nil {
			return err
		}
	}
	return nil
}

// Send sends the description and the files, which stay open here.
func (h *Handover) Send(c *net.UnixConn) error {
	body, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("afxdp: hand over: %w", err)
	}
	return fdpass.Send(c, body, h.Files)
}

// ReceiveHandover receives what Send sends.
func ReceiveHandover(c *net.UnixConn) (*Handover, error) {
	body, files, err := fdpass.Receive(c, fdpass.Limits{Body: maxHandover, Files: maxFiles})
	if err != nil {
		return nil, err
	}
	h := &Handover{}
	if err := json.Unmarshal(body, h); err != nil {
		fdpass.CloseAll(files)
		return nil, fmt.Errorf("afxdp: adopt: %w: %w", ErrHandover, err)
	}
	h.Files = files
	return h, nil
}

// Close closes the files. What was adopted has its own.
func (h *Handover) Close() {
	fdpass.CloseAll(h.Files)
	h.Files = nil
}

// wireInfo is an Info in JSON that can be read again: errors are texts, and sets numbers.
type wireInfo struct {
	Info
	XDPUnknown                  string
	XDP, RxMetadata, TxMetadata uint64
}

func newWireInfo(i Info) wireInfo {
	return wireInfo{i, text(i.XDPUnknown), uint64(i.XDP), uint64(i.RxMetadata), uint64(i.TxMetadata)}
}

func (w wireInfo) info() Info {
	i := w.Info
	i.XDPUnknown = told(w.XDPUnknown)
	i.XDP, i.RxMetadata, i.TxMetadata = Features(w.XDP), ReceiveMetadata(w.RxMetadata), TransmitMetadata(w.TxMetadata)
	return i
}

// wireMode is a BoundMode in JSON.
type wireMode struct {
	BoundMode
	NoZeroCopy, NoDeferral, NoTxChecksum, NoTxTimestamps, NoRxHints, NoDeviceHints, NoMultiBuffer string
}

func newWireMode(m BoundMode) wireMode {
	return wireMode{
		m, text(m.NoZeroCopy), text(m.NoDeferral), text(m.NoTxChecksum), text(m.NoTxTimestamps), text(m.NoRxHints),
		text(m.NoDeviceHints), text(m.NoMultiBuffer),
	}
}

func (w *wireMode) mode() BoundMode {
	m := w.BoundMode
	m.NoZeroCopy, m.NoDeferral, m.NoTxChecksum = told(w.NoZeroCopy), told(w.NoDeferral), told(w.NoTxChecksum)
	m.NoTxTimestamps, m.NoRxHints, m.NoDeviceHints = told(w.NoTxTimestamps), told(w.NoRxHints), told(w.NoDeviceHints)
	m.NoMultiBuffer = told(w.NoMultiBuffer)
	return m
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// told is an error that another process had.
func told(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}
