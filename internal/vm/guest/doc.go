// Package guest is what runs inside the virtual machine, as its first process: it mounts what programs expect, loads the drivers,
// names the two network cards nic0 and nic1, runs what it is told, one after the other, and reports over a virtio port. There is
// no shell and no other program.
//
// The program that boots the guest is its first process too: a copy of it lies in the guest as /init and finds by [IsInit] that
// it is that. So the two sides of the report are always of one version, and nothing else must be built.
package guest
