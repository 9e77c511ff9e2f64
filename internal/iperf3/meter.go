package iperf3

import (
	"math"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// firstSocket is where the numbers of streams begin, which are file descriptors in iperf3.
const firstSocket = 5

// meter makes intervals and totals out of samples. It belongs to the goroutine that runs the test.
type meter struct {
	test  *test
	start clock.Time // of the measurement
	from  clock.Time // of the present interval
	last  []sample   // at its beginning
	paths []pathRange
	total []sample
	end   clock.Time
	cpu   [3]float64
}

// pathRange follows a sender's connection.
type pathRange struct {
	PathRange
	sumRTT, samples int64
}

func newMeter(t *test) *meter {
	m := &meter{test: t}
	m.reset()
	return m
}

// reset begins the measurement with the test's start.
func (m *meter) reset() {
	m.start, m.from = m.test.start, m.test.start
	m.last = make([]sample, len(m.test.streams))
	m.paths = make([]pathRange, len(m.test.streams))
}

// interval ends the present interval. ok is false if it is not worth a report: nothing came in its short time.
func (m *meter) interval(omitted bool, usual time.Duration) (iv Interval, ok bool, err error) {
	now, at, err := m.test.samples()
	if err != nil {
		return iv, false, err
	}
	iv, ok = m.add(now, at, omitted, usual)
	return iv, ok, nil
}

// add makes an interval of what the streams are at its end.
func (m *meter) add(now []sample, at clock.Time, omitted bool, usual time.Duration) (iv Interval, ok bool) {
	for i, s := range now {
		if !s.alive { // its connection is over: what was known of it stays
			bytes := s.bytes
			s = m.last[i]
			s.bytes, s.ended = bytes, true
			now[i] = s
		}
		p := m.piece(i, s, at)
		p.Omitted = omitted
		iv.Streams = append(iv.Streams, p)
		ok = ok || p.Bytes > 0
	}
	ok = ok || at.Sub(m.from) >= usual/10
	iv.Sum = sumPieces(iv.Streams, iv.Streams[0].Sender)
	if m.bidir() {
		iv.SumReverse = sumPieces(iv.Streams, !iv.Streams[0].Sender)
	}
	if ok {
		m.last, m.from = now, at
	}
	return iv, ok
}

func (m *meter) bidir() bool { return bool(m.test.params.Bidirectional) }

// piece is one stream's part of the present interval.
func (m *meter) piece(i int, s sample, at clock.Time) Piece {
	st := m.test.streams[i]
	p := Piece{
		Socket: firstSocket + i, Start: m.from.Sub(m.start).Seconds(), End: at.Sub(m.start).Seconds(), Seconds: at.Sub(m.from).Seconds(),
		Bytes: int64(s.bytes - m.last[i].bytes), Sender: st.sender,
	}
	p.BitsPerSecond = rate(p.Bytes, p.Seconds)
	if !st.sender {
		return p
	}
	again := int64(s.retrans) - int64(m.last[i].retrans)
	p.Retransmits = &again
	p.Path = &Path{SndCwnd: int64(s.cwnd), SndWnd: int64(s.wnd), RTT: int64(s.rtt), RTTVar: int64(s.rttvar), PMTU: int64(s.pmtu)}
	m.paths[i].add(p.Path)
	return p
}

func (r *pathRange) add(p *Path) {
	r.MaxSndCwnd, r.MaxSndWnd = max(r.MaxSndCwnd, p.SndCwnd), max(r.MaxSndWnd, p.SndWnd)
	if p.RTT == 0 {
		return
	}
	r.MaxRTT = max(r.MaxRTT, p.RTT)
	if r.MinRTT == 0 || p.RTT < r.MinRTT {
		r.MinRTT = p.RTT
	}
	r.sumRTT += p.RTT
	r.samples++
	r.MeanRTT = r.sumRTT / r.samples
}

// sumPieces adds up the streams of one role; nil if there is none.
func sumPieces(pieces []Piece, sender bool) *Piece {
	var sum *Piece
	for _, p := range pieces {
		if p.Sender != sender {
			continue
		}
		if sum == nil {
			sum = &Piece{Start: p.Start, End: p.End, Seconds: p.Seconds, Omitted: p.Omitted, Sender: p.Sender}
		}
		sum.Bytes += p.Bytes
		if p.Retransmits != nil {
			if sum.Retransmits == nil {
				sum.Retransmits = new(int64)
			}
			*sum.Retransmits += *p.Retransmits
		}
	}
	if sum != nil {
		sum.BitsPerSecond = rate(sum.Bytes, sum.Seconds)
	}
	return sum
}

func rate(bytes int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return 8 * float64(bytes) / seconds
}

// finish takes the totals at the end.
func (m *meter) finish(at clock.Time) {
	m.total, m.end = m.last, at
	m.cpu[0], m.cpu[1], m.cpu[2] = readCPU().since(m.test.cpu)
}

// results are what the other end is told.
func (m *meter) results(congestion string) *Results {
	r := &Results{CPUTotal: m.cpu[0], CPUUser: m.cpu[1], CPUSystem: m.cpu[2], HasRetrans: -1, Congestion: congestion}
	for i, s := range m.total {
		one := StreamResult{ID: Number(streamID(i)), Bytes: Number(s.bytes), Retransmits: -1, End: m.end.Sub(m.start).Seconds()}
		if m.test.streams[i].sender {
			r.HasRetrans, one.Retransmits = 1, Number(s.retrans)
		}
		r.Streams = append(r.Streams, one)
	}
	return r
}

// summary is the end of the document; peer is nil if the other end's results are not known.
func (m *meter) summary(peer *Results, congestion string) (End, error) {
	e := End{CPU: &CPU{HostTotal: m.cpu[0], HostUser: m.cpu[1], HostSystem: m.cpu[2]}, remoteKnown: peer != nil, reverse: m.bidir()}
	var remote string
	if peer != nil {
		e.CPU.RemoteTotal, e.CPU.RemoteUser, e.CPU.RemoteSystem = finite(peer.CPUTotal), finite(peer.CPUUser), finite(peer.CPUSystem)
		remote = peer.Congestion
	}
	sums := map[bool][2]*Total{}
	for i := range m.total {
		s, err := m.streamEnd(i, peer)
		if err != nil {
			return e, err
		}
		e.Streams = append(e.Streams, s)
		up := m.test.streams[i].sender == m.test.client
		sum := sums[up]
		sum[0], sum[1] = addTotal(sum[0], s.Sender), addTotal(sum[1], s.Receiver)
		sums[up] = sum
	}
	e.SenderCongestion, e.ReceiverCongestion = congestion, remote
	first := true
	if up, down := m.test.params.roles(); up == 0 && down > 0 {
		first = false
	}
	if !m.test.streams[0].sender {
		e.SenderCongestion, e.ReceiverCongestion = remote, congestion
	}
	e.SumSent, e.SumReceived = sums[first][0], sums[first][1]
	if m.bidir() {
		e.SumSentReverse, e.SumReceivedReverse = sums[false][0], sums[false][1]
	}
	return e, nil
}

// streamEnd is one stream from both ends.
func (m *meter) streamEnd(i int, peer *Results) (s StreamEnd, err error) {
	st, mine := m.test.streams[i], m.total[i]
	here := Total{Socket: firstSocket + i, End: m.end.Sub(m.start).Seconds(), Bytes: int64(mine.bytes), Sender: st.sender}
	there := Total{Socket: firstSocket + i, End: here.End, Sender: st.sender}
	again := int64(-1)
	if peer != nil {
		r, ok := peer.stream(streamID(i))
		if !ok {
			return s, ErrStreamID
		}
		there.Bytes, again = int64(r.Bytes), int64(r.Retransmits)
		if end := finite(r.End - r.Start); end > 0 {
			there.End = end
		}
	}
	for _, t := range []*Total{&here, &there} {
		t.Seconds = t.End
		t.BitsPerSecond = rate(t.Bytes, t.Seconds)
	}
	if st.sender {
		again = int64(mine.retrans)
		here.PathRange = &m.paths[i].PathRange
		s.Sender, s.Receiver = here, there
	} else {
		s.Sender, s.Receiver = there, here
	}
	if again >= 0 {
		s.Sender.Retransmits = &again
	}
	return s, nil
}

func addTotal(sum *Total, t Total) *Total {
	if sum == nil {
		sum = &Total{End: t.End, Sender: t.Sender}
	}
	sum.Bytes += t.Bytes
	sum.End = max(sum.End, t.End)
	sum.Seconds = sum.End
	sum.BitsPerSecond = rate(sum.Bytes, sum.Seconds)
	if t.Retransmits != nil {
		if sum.Retransmits == nil {
			sum.Retransmits = new(int64)
		}
		*sum.Retransmits += *t.Retransmits
	}
	return sum
}

// finite keeps what a peer sends within what JSON can be written with.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
