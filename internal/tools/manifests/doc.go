// Package manifests checks the Kubernetes manifests in deploy/: each document must decode, strictly, into the type of the API that it
// says it is. It is a module of its own, so that xdpstack itself does not depend on Kubernetes; "make test" runs it.
package manifests
