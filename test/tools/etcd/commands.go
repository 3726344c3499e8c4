//go:build commands

// Package commands names the program that is built from this module.
package commands

import _ "go.etcd.io/etcd/server/v3"
