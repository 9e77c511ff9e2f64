package ss

import (
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// Entry is what is shown of a connection, listener or socket: a line of the answer. The names are those of ss.
type Entry struct {
	Proto  string `json:"proto"` // tcp or udp
	State  string `json:"state"`
	Local  string `json:"local"`  // of a port of all addresses 0.0.0.0:PORT
	Remote string `json:"remote"` // 0.0.0.0:* if there is no peer
	Shard  int    `json:"shard"`  // -1: all
	ID     uint32 `json:"id"`     // of a connection, on its shard

	RecvQ    int `json:"recv_q"` // bytes; of a listener connections that wait for Accept
	SendQ    int `json:"send_q"` // bytes; of a listener how many may wait
	HalfOpen int `json:"half_open,omitempty"`

	Timer   *Timer `json:"timer,omitempty"`
	Handler string `json:"handler,omitempty"`
	Memory  *Mem   `json:"mem,omitempty"`
	Info    *Info  `json:"info,omitempty"`
}

// Timer is the timer that runs.
type Timer struct {
	Kind      string `json:"kind"` // on, keepalive, timewait or persist
	ExpiresMS int64  `json:"expires_ms"`
	Retries   int    `json:"retrans"`
}

// Mem is what a connection holds: bytes, and frames.
type Mem struct {
	Recv       int    `json:"rmem"`
	RecvBuffer uint32 `json:"rcvbuf"`
	Send       int    `json:"wmem"`
	SendBuffer uint32 `json:"sndbuf"`
	SendFrames int    `json:"send_frames"`
	OutOfOrder int    `json:"ooo_frames"`
}

// Info is tcp_info with ss's names: times in the unit that the name ends with, rates in bytes per second, windows in segments.
type Info struct {
	Options    []string `json:"options"`
	Congestion string   `json:"cong"`
	CAState    string   `json:"ca_state"`
	SndWScale  uint8    `json:"snd_wscale"`
	RcvWScale  uint8    `json:"rcv_wscale"`
	RTO        uint32   `json:"rto_us"`
	Backoff    uint8    `json:"backoff,omitempty"`
	RTT        uint32   `json:"rtt_us"`
	RTTVar     uint32   `json:"rttvar_us"`
	MinRTT     uint32   `json:"minrtt_us"`
	ATO        uint32   `json:"ato_us"`
	MSS        uint32   `json:"mss"`
	PMTU       uint32   `json:"pmtu"`
	RcvMSS     uint32   `json:"rcvmss"`
	AdvMSS     uint32   `json:"advmss"`
	CWnd       uint32   `json:"cwnd"`
	SSThresh   uint32   `json:"ssthresh,omitempty"` // absent while slow start has no end in sight

	BytesSent     uint64 `json:"bytes_sent"`
	BytesRetrans  uint64 `json:"bytes_retrans"`
	BytesAcked    uint64 `json:"bytes_acked"`
	BytesReceived uint64 `json:"bytes_received"`
	SegsOut       uint32 `json:"segs_out"`
	SegsIn        uint32 `json:"segs_in"`
	DataSegsOut   uint32 `json:"data_segs_out"`

	LastSnd      uint32 `json:"lastsnd_ms"`
	LastRcv      uint32 `json:"lastrcv_ms"`
	LastAck      uint32 `json:"lastack_ms"`
	PacingRate   uint64 `json:"pacing_rate"`
	MaxPacing    uint64 `json:"max_pacing_rate,omitempty"`
	DeliveryRate uint64 `json:"delivery_rate"`
	Delivered    uint32 `json:"delivered"`
	AppLimited   bool   `json:"app_limited,omitempty"`

	InFlight     uint32 `json:"in_flight"` // bytes
	Unacked      uint32 `json:"unacked"`   // segments
	Retrans      uint32 `json:"retrans"`
	RetransTotal uint32 `json:"retrans_total"`
	Timeouts     uint16 `json:"timeouts"`
	Lost         uint32 `json:"lost"`
	Sacked       uint32 `json:"sacked"`
	DsackDups    uint32 `json:"dsack_dups"`
	Reordering   uint32 `json:"reordering"`
	ReordSeen    uint32 `json:"reord_seen"`
	RcvOoopack   uint32 `json:"rcv_ooopack"`
	RcvSpace     uint32 `json:"rcv_space"`
	RcvSsthresh  uint32 `json:"rcv_ssthresh"`
	NotSent      uint32 `json:"notsent"`
	SndWnd       uint32 `json:"snd_wnd"`
	RcvWnd       uint32 `json:"rcv_wnd"`
}

var timers = [...]string{
	tcp.TimerRetransmit: "on", tcp.TimerKeepAlive: "keepalive", tcp.TimerTimeWait: "timewait", tcp.TimerPersist: "persist",
}

// noPeer stands for the peer of what has none.
const noPeer = "0.0.0.0:*"

// entry makes what is shown of c; detail: what takes more than a line of text.
func entry(c *stack.ConnInfo, detail bool) Entry {
	e := Entry{
		Proto: "tcp", State: columns[c.State], Local: c.Local.String(), Remote: address(c.Remote), Shard: c.Shard, ID: c.ID,
		RecvQ: c.RecvQueue, SendQ: c.SendQueue, HalfOpen: c.HalfOpen, Handler: c.Handler,
	}
	if c.Kind == stack.KindUDP {
		e.Proto = "udp"
	}
	if c.Timer != tcp.TimerNone {
		e.Timer = &Timer{Kind: timers[c.Timer], ExpiresMS: c.Expires.Milliseconds(), Retries: c.Retries}
	}
	if detail && c.Kind == stack.KindConn {
		e.Info = info(c)
		e.Memory = &Mem{
			Recv: c.RecvQueue, RecvBuffer: c.Info.RecvBuffer, Send: c.SendQueue, SendBuffer: c.Info.SendBuffer,
			SendFrames: c.SendFrames, OutOfOrder: c.OrderFrames,
		}
	}
	return e
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return noPeer
	}
	return a.String()
}

var caStates = [...]string{
	tcp.CAOpen: "open", tcp.CADisorder: "disorder", tcp.CACWR: "cwr", tcp.CARecovery: "recovery", tcp.CALoss: "loss",
}

func info(c *stack.ConnInfo) *Info {
	t := &c.TCPInfo
	i := &Info{
		Options: options(t.Options), Congestion: c.Info.Congestion, CAState: caStates[t.CAState], SndWScale: t.SndWScale,
		RcvWScale: t.RcvWScale, RTO: t.RTO, Backoff: t.Backoff, RTT: t.RTT, RTTVar: t.RTTVar, MinRTT: t.MinRTT, ATO: t.ATO, MSS: t.SndMSS,
		PMTU: t.PMTU, RcvMSS: t.RcvMSS, AdvMSS: t.AdvMSS, CWnd: t.SndCwnd,
		BytesSent: t.BytesSent, BytesRetrans: t.BytesRetrans, BytesAcked: t.BytesAcked, BytesReceived: t.BytesReceived,
		SegsOut: t.SegsOut, SegsIn: t.SegsIn, DataSegsOut: t.DataSegsOut,
		LastSnd: t.LastDataSent, LastRcv: t.LastDataRecv, LastAck: t.LastAckRecv, PacingRate: t.PacingRate, MaxPacing: t.MaxPacingRate,
		DeliveryRate: t.DeliveryRate, Delivered: t.Delivered, AppLimited: t.DeliveryRateAppLimited,
		InFlight: c.Info.InFlight, Unacked: t.Unacked, Retrans: t.Retrans, RetransTotal: t.TotalRetrans, Timeouts: t.TotalRTO,
		Lost: t.Lost, Sacked: t.Sacked, DsackDups: t.DsackDups, Reordering: t.Reordering, ReordSeen: t.ReordSeen,
		RcvOoopack: t.RcvOoopack, RcvSpace: t.RcvSpace, RcvSsthresh: t.RcvSsthresh, NotSent: t.NotsentBytes,
		SndWnd: t.SndWnd, RcvWnd: t.RcvWnd,
	}
	if t.SndSsthresh != 1<<31-1 {
		i.SSThresh = t.SndSsthresh
	}
	return i
}

// options returns the names that ss has for the options of a connection.
func options(bits uint8) []string {
	names := []string{}
	for _, o := range []struct {
		bit  uint8
		name string
	}{{tcp.OptTimestamps, "ts"}, {tcp.OptSACK, "sack"}, {tcp.OptECN, "ecn"}, {tcp.OptWScale, "wscale"}, {tcp.OptSYNData, "fastopen"}} {
		if bits&o.bit != 0 {
			names = append(names, o.name)
		}
	}
	return names
}

// Expires returns when the timer expires, from now.
func (t *Timer) Expires() time.Duration { return time.Duration(t.ExpiresMS) * time.Millisecond }
