/**
 * How a kubelet learns of a plugin: it finds a socket in `plugins_registry` and asks there
 * (k8s.io/kubelet, pkg/apis/pluginregistration/v1; Copyright the Kubernetes authors, Apache License 2.0).
 */
export const registrationProto = `
syntax = "proto3";
package pluginregistration;

service Registration {
  rpc GetInfo (InfoRequest) returns (PluginInfo);
  rpc NotifyRegistrationStatus (RegistrationStatus) returns (RegistrationStatusResponse);
}

message InfoRequest {}
message PluginInfo {
  string type = 1;
  string name = 2;
  string endpoint = 3;
  repeated string supported_versions = 4;
}

message RegistrationStatus {
  bool plugin_registered = 1;
  string error = 2;
}
message RegistrationStatusResponse {}
`;
