package GateFeedTest;

# Loads the extension as Bugzilla does, and asks its web service.

use 5.14.0;
use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec;
use JSON::PP ();

our $ROOT = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
our @EXPORT = qw($ROOT ask refusal bot);

# Bugzilla finds an extension's modules below its `lib`.
unshift @INC, sub {
  my ($self, $file) = @_;
  my ($name) = $file =~ m{^Bugzilla/Extension/GateFeed/(.+)$} or return;
  open my $handle, '<', "$ROOT/lib/$name" or return;
  $INC{$file} = "$ROOT/lib/$name";
  return $handle;
};

require Bugzilla;
require Bugzilla::Bug;
require "$ROOT/Config.pm";
$Bugzilla::extension = require "$ROOT/Extension.pm" && 'Bugzilla::Extension::GateFeed';
require Bugzilla::Extension::GateFeed::WebService;

sub bot { return Bugzilla::User->new(name => 'bot', groups => ['gate-feed']) }

# Returns the answer of a method of the web service, as who reads the JSON gets it.
sub ask {
  my ($method, %params) = @_;
  $Bugzilla::user //= bot();
  my $json = JSON::PP->new->canonical;
  return $json->decode($json->encode(Bugzilla::Extension::GateFeed::WebService->new->$method(\%params)));
}

# Returns the error that a call ends with, or undef.
sub refusal {
  my ($call) = @_;
  return eval { $call->(); 1 } ? undef : $@;
}

1;
