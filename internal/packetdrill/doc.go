// Package packetdrill lets the original packetdrill program drive this TCP: it is a host with sockets and file descriptors, on a TCP core
// in real time, whose network is the program's packets. The package itself is Go; lib beside it makes it the shared library
// that the program loads, and cmd runs folders of scripts through both. docs/packetdrill.md says how to use them.
//
// # The interface
//
// With --so_filename=FILE the program loads a library and calls its one symbol,
//
//	void packetdrill_interface_init(const char *flags, struct packetdrill_interface *)
//
// with the text of --so_flags, or NULL. The struct begins with a pointer of the library's own choosing, which is the first argument
// of every function; pointers to functions follow in this order, which was found out from libraries that others have built and from
// how the program calls them:
//
//	 0  void *userdata
//	 1  void    free(userdata)
//	 2  int     socket(domain, type, protocol)
//	 3  int     bind(fd, addr, addrlen)
//	 4  int     listen(fd, backlog)
//	 5  int     accept(fd, addr, *addrlen)
//	 6  int     connect(fd, addr, addrlen)
//	 7  ssize_t read(fd, buf, len)
//	 8  ssize_t readv(fd, iov, n)
//	 9  ssize_t recv(fd, buf, len, flags)
//	10  ssize_t recvfrom(fd, buf, len, flags, addr, *addrlen)
//	11  ssize_t recvmsg(fd, msghdr, flags)
//	12  ssize_t write(fd, buf, len)
//	13  ssize_t writev(fd, iov, n)
//	14  ssize_t send(fd, buf, len, flags)
//	15  ssize_t sendto(fd, buf, len, flags, addr, addrlen)
//	16  ssize_t sendmsg(fd, msghdr, flags)
//	17  int     fcntl(fd, cmd, ...)
//	18  int     ioctl(fd, request, ...)
//	19  int     close(fd)
//	20  int     shutdown(fd, how)
//	21  int     getsockopt(fd, level, name, value, *len)
//	22  int     setsockopt(fd, level, name, value, len)
//	23  int     poll(pollfds, n, timeout in ms)
//	24  int     netdev_send(packet, len)                   to the stack
//	25  int     netdev_receive(packet, *len, *time)        from the stack
//	26  int     usleep(µs)
//	27  int     gettimeofday(timeval, timezone)
//	28  int     epoll_create(size)
//	29  int     epoll_ctl(epfd, op, fd, event)
//	30  int     epoll_wait(epfd, events, n, timeout in ms)
//	31  int     pipe(fds)
//	32  int     splice(fd, *offset, fd, *offset, len, flags)
//
// Functions return as system calls do, with errno set. Packets are bare IP, without a link's header; time is in microseconds of
// gettimeofday. What netdev_receive gives after some seconds without a packet is a length of 0 and no error, which the program
// takes as the end: after an error it would ask again for ever. The program calls what blocks in a thread of its own, spins on
// gettimeofday, and at the end of a script closes descriptors that are left with the real close, so they must be real.
//
// Not there: epoll and splice (ENOSYS), and IPv6. Assertions in %{ }% are not about this stack: the program asks the local kernel for the
// tcp_info of the descriptor. So are shell commands, which set the kernel's sysctls.
package packetdrill
