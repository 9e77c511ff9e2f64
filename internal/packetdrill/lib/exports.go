//go:build packetdrill && cgo

// Command lib is the shared library that packetdrill loads with --so_filename; see package packetdrill. It is built only with its tag, so
// that no ordinary build needs a C compiler:
//
//	go build -tags packetdrill -buildmode=c-shared -o libxdpstack.so ./internal/packetdrill/lib
//
// shim.c has the functions that packetdrill calls: what is easier in C, or must be there, is there; the rest comes here. Functions
// here return what a system call of the kernel does: a result, or an error's number below 0.
package main

// #include <sys/socket.h>
// #include <netinet/in.h>
// #include <poll.h>
import "C"

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/packetdrill"
)

func main() {}

// stack is the one that packetdrill has loaded: it loads one.
var stack *packetdrill.Stack

// result joins a result and an error.
func result(n int, e syscall.Errno) C.longlong {
	if e != 0 {
		return -C.longlong(e)
	}
	return C.longlong(n)
}

// bytesAt returns memory of C's as a slice.
func bytesAt(p unsafe.Pointer, n C.size_t) []byte { return unsafe.Slice((*byte)(p), int(n)) }

// address reads a sockaddr.
func address(p unsafe.Pointer, n C.socklen_t) (netip.AddrPort, syscall.Errno) {
	if p == nil || n < C.sizeof_struct_sockaddr_in {
		return netip.AddrPort{}, syscall.EINVAL
	}
	a := (*unix.RawSockaddrInet4)(p)
	if a.Family != unix.AF_INET {
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), a.Port<<8|a.Port>>8), 0
}

//export goInit
func goInit(flags *C.char) C.int {
	s, err := packetdrill.New(C.GoString(flags))
	if err != nil {
		fmt.Fprintln(os.Stderr, "xdpstack:", err)
		return -1
	}
	stack = s
	return 0
}

//export goFree
func goFree() C.longlong {
	if err := stack.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "xdpstack:", err)
		return -1
	}
	return 0
}

//export goSocket
func goSocket(domain, kind, protocol C.int) C.longlong {
	return result(stack.Socket(int(domain), int(kind), int(protocol)))
}

//export goBind
func goBind(fd C.int, p unsafe.Pointer, n C.socklen_t) C.longlong {
	a, e := address(p, n)
	if e == 0 {
		e = stack.Bind(int(fd), a)
	}
	return result(0, e)
}

//export goListen
func goListen(fd, backlog C.int) C.longlong { return result(0, stack.Listen(int(fd), int(backlog))) }

// goAccept writes the peer's address to peer, which has room for a sockaddr_in.
//
//export goAccept
func goAccept(fd C.int, peer unsafe.Pointer) C.longlong {
	n, a, e := stack.Accept(int(fd))
	if e == 0 {
		port := a.Port()
		*(*unix.RawSockaddrInet4)(peer) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port<<8 | port>>8, Addr: a.Addr().As4()}
	}
	return result(n, e)
}

//export goConnect
func goConnect(fd C.int, p unsafe.Pointer, n C.socklen_t) C.longlong {
	a, e := address(p, n)
	if e == 0 {
		e = stack.Connect(int(fd), a)
	}
	return result(0, e)
}

//export goRead
func goRead(fd C.int, p unsafe.Pointer, n C.size_t, flags C.int) C.longlong {
	return result(stack.Read(int(fd), bytesAt(p, n), int(flags)))
}

//export goWrite
func goWrite(fd C.int, p unsafe.Pointer, n C.size_t, flags C.int, to unsafe.Pointer, toLen C.socklen_t) C.longlong {
	if flags&unix.MSG_FASTOPEN == 0 {
		return result(stack.Write(int(fd), bytesAt(p, n), int(flags)))
	}
	a, e := address(to, toLen)
	if e != 0 {
		return result(0, e)
	}
	return result(stack.SendFast(int(fd), bytesAt(p, n), int(flags), a))
}

//export goShutdown
func goShutdown(fd, how C.int) C.longlong { return result(0, stack.Shutdown(int(fd), int(how))) }

//export goClose
func goClose(fd C.int) C.longlong { return result(0, stack.CloseFile(int(fd))) }

// goNonblock turns O_NONBLOCK off (0), on (1), or leaves it (-1), and returns what it is then.
//
//export goNonblock
func goNonblock(fd, set C.int) C.longlong {
	var change *bool
	if set >= 0 {
		on := set != 0
		change = &on
	}
	on, e := stack.Nonblock(int(fd), change)
	if on {
		return result(1, e)
	}
	return result(0, e)
}

// goQueued returns how many bytes wait in one direction.
//
//export goQueued
func goQueued(fd, out C.int) C.longlong {
	in, written, e := stack.Queued(int(fd))
	if out != 0 {
		in = written
	}
	return result(in, e)
}

// goGetsockopt writes at most n bytes and returns how many.
//
//export goGetsockopt
func goGetsockopt(fd, level, name C.int, p unsafe.Pointer, n C.socklen_t) C.longlong {
	v, e := stack.Option(int(fd), int(level), int(name))
	return result(copy(bytesAt(p, C.size_t(n)), v), e)
}

//export goSetsockopt
func goSetsockopt(fd, level, name C.int, p unsafe.Pointer, n C.socklen_t) C.longlong {
	return result(0, stack.SetOption(int(fd), int(level), int(name), bytesAt(p, C.size_t(n))))
}

//export goPoll
func goPoll(p unsafe.Pointer, n C.nfds_t, timeout C.int) C.longlong {
	return result(stack.Poll(unsafe.Slice((*unix.PollFd)(p), int(n)), int(timeout)))
}

//export goSend
func goSend(p unsafe.Pointer, n C.size_t) C.longlong { return result(0, stack.Inject(bytesAt(p, n))) }

// goReceive returns the length of a packet, and writes when it was sent, in microseconds of gettimeofday.
//
//export goReceive
func goReceive(p unsafe.Pointer, n C.size_t, at *C.longlong) C.longlong {
	got, t, e := stack.Receive(bytesAt(p, n))
	*at = C.longlong(t.UnixMicro())
	return result(got, e)
}
