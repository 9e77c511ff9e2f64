// Package fdpass sends a message with open files over a Unix stream socket (SCM_RIGHTS, unix(7)): the receiver gets descriptors of its
// own for the same open files.
//
//	header, 8 bytes             for each 250 files          body
//	┌────────────┬─────────┐    ┌────────────────────┐      ┌──────────────
//	│ body bytes │ files   │    │ one byte, and with │      │ as the header
//	│ uint32     │ uint32  │    │ it the files       │      │ says
//	└────────────┴─────────┘    └────────────────────┘      └──────────────
//
// What comes is not trusted: body and files are bounded by the receiver, files that were not announced are closed by the kernel, and after
// an error none stays open. Messages follow each other on one socket; between two of them it can be used for anything else.
package fdpass
