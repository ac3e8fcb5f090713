// Package container tests the image and the compose file: built by buildah, run by podman, on the stack's network.
package container
