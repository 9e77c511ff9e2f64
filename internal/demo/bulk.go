package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// progressStep is how many bytes a transfer reports at a time.
const progressStep = 4 << 20

// Each direction is transferred twice. The first time is measured: the receiver compares every byte with what must come, which
// costs next to nothing. The second time it computes SHA-256 over what comes, which takes a good part of a CPU.
const (
	compared = false
	hashed   = true
)

// upload sends the pattern to the sink, which answers with its verdict over what arrived.
func (r *runner) upload(ctx context.Context) error {
	return r.bulk(ctx, "upload", &r.report.Upload, func(c net.Conn, p *pattern, withHash bool, step Step) (verdict, error) {
		var v verdict
		if err := sendPattern(c, p, step); err != nil {
			return v, err
		}
		half, ok := c.(interface{ CloseWrite() error })
		if !ok {
			return v, fmt.Errorf("%T cannot close one direction", c)
		}
		if err := half.CloseWrite(); err != nil {
			return v, err
		}
		_, err := io.ReadFull(c, v[:])
		return v, err
	})
}

// download asks the source for the pattern and judges what arrives.
func (r *runner) download(ctx context.Context) error {
	return r.bulk(ctx, "download", &r.report.Download, func(c net.Conn, p *pattern, withHash bool, step Step) (verdict, error) {
		var request [8]byte
		binary.BigEndian.PutUint64(request[:], uint64(p.total))
		if _, err := c.Write(request[:]); err != nil {
			return verdict{}, err
		}
		return receive(c, newJudge(withHash), step)
	})
}

// transferFunc does a transfer and returns the receiver's verdict.
type transferFunc func(c net.Conn, p *pattern, withHash bool, step Step) (verdict, error)

// ports are those of the two directions' services, by whether they hash.
var ports = map[string]map[bool]int{
	"upload":   {compared: sinkPort, hashed: hashPort},
	"download": {compared: sourcePort, hashed: sourcePort},
}

// bulk does both transfers of one direction.
func (r *runner) bulk(ctx context.Context, name string, out **Bulk, transfer transferFunc) error {
	var b *Bulk
	for _, withHash := range []bool{compared, hashed} {
		title := name
		if withHash {
			title += " SHA-256"
		}
		step := r.progress.Start(title, r.cfg.Bulk, "B")
		one, v, err := r.measure(ctx, ports[name][withHash], withHash, transfer, step)
		if err != nil {
			step.Fail(err)
			return err
		}
		if !withHash {
			b = one
			step.Done(fmt.Sprintf("%.2f Gbit/s, every byte compared", b.BitRate/1e9))
			continue
		}
		b.HashedBitRate, b.SHA256 = one.BitRate, fmt.Sprintf("%x", v)
		step.Done(fmt.Sprintf("%.2f Gbit/s, %s… is right", b.HashedBitRate/1e9, b.SHA256[:8]))
	}
	*out = b
	return nil
}

// measure does one transfer. The time runs from the connecting until the receiver has judged the last byte; what the verdict must
// be is computed afterwards, outside that time.
func (r *runner) measure(ctx context.Context, port int, withHash bool, transfer transferFunc, step Step) (*Bulk, verdict, error) {
	var v verdict
	p := newPattern(r.cfg.Bulk)
	before, err := snapshot.Take(r.Server, time.Now())
	if err != nil {
		return nil, v, err
	}
	heapBefore, began := readHeap(), time.Now()
	c, err := r.Dial(ctx, "tcp", r.address(port))
	if err != nil {
		return nil, v, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if v, err = transfer(c, p, withHash, step); err != nil {
		return nil, v, err
	}
	b := &Bulk{Bytes: p.total, Duration: time.Since(began)}
	heapAfter := readHeap()
	after, err := snapshot.Take(r.Server, time.Now())
	if err != nil {
		return nil, v, err
	}
	if err := v.check(p, withHash); err != nil {
		return nil, v, err
	}
	diff := after.Since(&before)
	b.Segments = diff.Value("rx_frames") + diff.Value("tx_frames")
	b.BitRate = float64(b.Bytes) * 8 / b.Duration.Seconds()
	if b.Segments > 0 {
		b.Allocs = float64(heapAfter.objects-heapBefore.objects) / float64(b.Segments)
		b.HeapBytes = float64(heapAfter.bytes-heapBefore.bytes) / float64(b.Segments)
	}
	return b, v, nil
}

// ticker tells a Step about bytes, in larger pieces.
type ticker struct {
	step    Step
	pending int64
}

func (t *ticker) add(n int) {
	if t.pending += int64(n); t.pending >= progressStep {
		t.flush()
	}
}

func (t *ticker) flush() {
	t.step.Add(t.pending)
	t.pending = 0
}

func sendPattern(w io.Writer, p *pattern, step Step) error {
	t := ticker{step: step}
	defer t.flush()
	for off := int64(0); off < p.total; {
		n, err := w.Write(p.from(off))
		off += int64(n)
		t.add(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// receive judges everything until the end of the stream.
func receive(r io.Reader, j *judge, step Step) (verdict, error) {
	t := ticker{step: step}
	defer t.flush()
	buf := make([]byte, blockSize)
	for {
		n, err := r.Read(buf)
		j.add(buf[:n])
		t.add(n)
		if errors.Is(err, io.EOF) {
			return j.verdict(), nil
		}
		if err != nil {
			return verdict{}, err
		}
	}
}
