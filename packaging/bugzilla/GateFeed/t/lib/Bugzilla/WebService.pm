package Bugzilla::WebService;

use 5.14.0;
use strict;
use warnings;

use JSON::PP ();

sub new { return bless {}, $_[0] }

sub type {
  my ($self, $type, $value) = @_;
  return $value ? JSON::PP::true() : JSON::PP::false() if $type eq 'boolean';
  return $type eq 'int' ? int $value : "$value";
}

1;
