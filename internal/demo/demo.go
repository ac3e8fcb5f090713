// Package demo lets a user watch faults without waiting for one: the real daemon watches a small internet on loopback
// (see package internet), and faults are injected one after the other. It reads nothing of the user and sends nothing
// beyond loopback.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"netwatchd/internal/client"
	"netwatchd/internal/demo/internet"
	"netwatchd/internal/top"
	"netwatchd/internal/watch"
)

// A Demo is a running demo.
type Demo struct {
	Page string // the URL of the status page

	dir      string
	internet *internet.Internet
	daemon   *daemon
	client   *client.Client
	reader   *top.Daemon
	now      int // the index of the present fault in faults
}

// Start starts the internet and a daemon that watches it, both without a fault. Program is the netwatchd to run.
func Start(ctx context.Context, program string) (*Demo, error) {
	dir, err := os.MkdirTemp("", "netwatchd-demo-")
	if err != nil {
		return nil, err
	}
	d := &Demo{dir: dir}
	if err := d.start(ctx, program); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context, program string) (err error) {
	if d.internet, err = internet.Start(d.dir); err != nil {
		return err
	}
	config := filepath.Join(d.dir, "config.yaml")
	if err = os.WriteFile(config, configuration(d.internet, program, d.dir), 0o600); err != nil {
		return err
	}
	if d.daemon, err = startDaemon(ctx, program, config, d.dir); err != nil {
		return err
	}
	d.Page = d.daemon.page
	if d.client, err = client.New(client.Options{URL: d.Page}); err != nil {
		return err
	}
	d.reader = &top.Daemon{Client: d.client, Files: []string{filepath.Join(d.dir, statusFile)}}
	return nil
}

// Close stops everything and removes the files.
func (d *Demo) Close() error {
	var failed error
	if d.daemon != nil {
		failed = d.daemon.stop()
	}
	if d.internet != nil {
		d.internet.Close()
	}
	return errors.Join(failed, os.RemoveAll(d.dir))
}

// Inject makes faults[i] the only fault.
func (d *Demo) Inject(i int) error {
	f := faults[i]
	marker := filepath.Join(d.dir, closedFile)
	var err error
	if f.closedSandbox {
		err = os.WriteFile(marker, nil, 0o600)
	} else {
		err = os.RemoveAll(marker)
	}
	d.internet.Set(f.conditions)
	d.now = i
	return err
}

// verdict returns the daemon's status and, in it, the verdict.
func (d *Demo) verdict(ctx context.Context) (*watch.Status, watch.ServiceStatus, error) {
	status, err := d.client.Status(ctx)
	if err != nil {
		if ended := d.daemon.err(); ended != nil {
			return nil, watch.ServiceStatus{}, ended
		}
		return nil, watch.ServiceStatus{}, err
	}
	if len(status.Services) != 1 {
		return nil, watch.ServiceStatus{}, fmt.Errorf("the daemon reports %d services instead of one", len(status.Services))
	}
	return status, status.Services[0], nil
}
