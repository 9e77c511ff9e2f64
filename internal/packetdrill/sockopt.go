package packetdrill

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sock"
	"github.com/xdpstack/xdpstack/tcp"
)

// optionKey is how a system call names an option.
type optionKey struct{ level, name int }

// names are the options that sockets know by name.
var names = map[optionKey]string{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}: "SO_REUSEADDR", {unix.SOL_SOCKET, unix.SO_REUSEPORT}: "SO_REUSEPORT",
	{unix.SOL_SOCKET, unix.SO_ERROR}: "SO_ERROR", {unix.SOL_SOCKET, unix.SO_KEEPALIVE}: "SO_KEEPALIVE",
	{unix.SOL_SOCKET, unix.SO_SNDBUF}: "SO_SNDBUF", {unix.SOL_SOCKET, unix.SO_RCVBUF}: "SO_RCVBUF",
	{unix.SOL_SOCKET, unix.SO_LINGER}: "SO_LINGER", {unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE}: "SO_MAX_PACING_RATE",

	{unix.IPPROTO_TCP, unix.TCP_NODELAY}: "TCP_NODELAY", {unix.IPPROTO_TCP, unix.TCP_MAXSEG}: "TCP_MAXSEG",
	{unix.IPPROTO_TCP, unix.TCP_CORK}: "TCP_CORK", {unix.IPPROTO_TCP, unix.TCP_QUICKACK}: "TCP_QUICKACK",
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: "TCP_KEEPIDLE", {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: "TCP_KEEPINTVL",
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: "TCP_KEEPCNT", {unix.IPPROTO_TCP, unix.TCP_SYNCNT}: "TCP_SYNCNT",
	{unix.IPPROTO_TCP, unix.TCP_LINGER2}: "TCP_LINGER2", {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}: "TCP_DEFER_ACCEPT",
	{unix.IPPROTO_TCP, unix.TCP_CONGESTION}: "TCP_CONGESTION", {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: "TCP_USER_TIMEOUT",
	{unix.IPPROTO_TCP, unix.TCP_FASTOPEN}: "TCP_FASTOPEN", {unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT}: "TCP_FASTOPEN_CONNECT",
	{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}: "TCP_NOTSENT_LOWAT",
}

// SetOption sets an option from the bytes that setsockopt has.
func (s *Stack) SetOption(fd, level, name int, value []byte) syscall.Errno {
	return s.with(fd, func(f *file) syscall.Errno {
		switch (optionKey{level, name}) {
		case optionKey{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}, optionKey{unix.IPPROTO_IP, unix.IP_RECVERR}:
			return 0 // The path's MTU is always discovered, and errors are always told.
		case optionKey{unix.IPPROTO_TCP, unix.TCP_CONGESTION}:
			return f.sock.SetOption("TCP_CONGESTION", sock.Value{Text: string(bytes.TrimRight(value, "\x00"))})
		}
		option, ok := names[optionKey{level, name}]
		if !ok {
			return syscall.ENOPROTOOPT
		}
		if len(value) < 4 {
			return syscall.EINVAL
		}
		v := sock.Value{N: int(int32(binary.NativeEndian.Uint32(value)))}
		if option == "SO_LINGER" {
			if len(value) < 8 {
				return syscall.EINVAL
			}
			v.Linger = int(int32(binary.NativeEndian.Uint32(value[4:])))
		}
		return f.sock.SetOption(option, v)
	})
}

// Option returns the bytes of an option.
func (s *Stack) Option(fd, level, name int) (value []byte, e syscall.Errno) {
	e = s.with(fd, func(f *file) syscall.Errno {
		if level == unix.IPPROTO_TCP && name == unix.TCP_INFO {
			value = encodeInfo(f.info())
			return 0
		}
		option, ok := names[optionKey{level, name}]
		if !ok {
			return syscall.ENOPROTOOPT
		}
		v, e := f.sock.Option(option)
		switch {
		case e != 0:
			return e
		case option == "TCP_CONGESTION":
			value = append([]byte(v.Text), 0)
			return 0
		}
		value = binary.NativeEndian.AppendUint32(nil, uint32(v.N))
		if option == "SO_LINGER" {
			value = binary.NativeEndian.AppendUint32(value, uint32(v.Linger))
		}
		return 0
	})
	return value, e
}

// info returns what is known of the file's connection.
func (f *file) info() tcp.TCPInfo {
	switch c := f.sock.Conn(); {
	case c != nil:
		return c.TCPInfo(clock.Now())
	case f.sock.Listening():
		return tcp.TCPInfo{State: tcp.StateListen.Linux()}
	}
	return tcp.TCPInfo{State: tcp.StateClosed.Linux()}
}

// encodeInfo returns the bytes of Linux's struct tcp_info: the window scales share a byte, the bit of the delivery rate has the next,
// and from the timeout on the fields follow as they are in tcp.TCPInfo, each aligned to its size by the order that they are in.
func encodeInfo(i tcp.TCPInfo) []byte {
	b := []byte{i.State, i.CAState, i.Retransmits, i.Probes, i.Backoff, i.Options, i.SndWScale&0xf | i.RcvWScale<<4, 0}
	if i.DeliveryRateAppLimited {
		b[7] = 1
	}
	v := reflect.ValueOf(i)
	first, _ := v.Type().FieldByName("RTO")
	for n := first.Index[0]; n < v.NumField(); n++ {
		switch f := v.Field(n); f.Kind() {
		case reflect.Uint16:
			b = binary.NativeEndian.AppendUint16(b, uint16(f.Uint()))
		case reflect.Uint32:
			b = binary.NativeEndian.AppendUint32(b, uint32(f.Uint()))
		case reflect.Uint64:
			b = binary.NativeEndian.AppendUint64(b, f.Uint())
		}
	}
	return b
}
