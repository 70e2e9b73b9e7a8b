// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright: agentless.audit_ports contributors

// Serves VMware's own simulator of the vSphere API on loopback, an ESXi host or (-vcenter) a vCenter with a cluster of
// eight, until its standard input ends. Prints its port.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	vcenter := flag.Bool("vcenter", false, "a vCenter")
	flag.Parse()
	model := simulator.ESX()
	if *vcenter {
		model = simulator.VPX()
		model.Host, model.Cluster, model.ClusterHost = 0, 1, 8
	}
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0"}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println(server.URL.Port())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
